"""When generators came out, as far as labelled data does not say so itself.

Detectors age: text by a generator that came out after the newest one of a calibration is out of the detector's time. Data says
when with a column `date` of machine text; for the generators of public sets, which have none, the day of the announcement is
here.
"""

import re

# The longest name that a generator's begins with counts; case and punctuation do not.
RELEASED = {
    "gpt2": "2019-11-05",
    "gptneo": "2021-03-21",
    "gptj": "2021-06-09",
    "gptneox": "2022-02-09",
    "davinci": "2020-06-11",
    "opt": "2022-05-03",
    "flant5": "2022-10-20",
    "textdavinci003": "2022-11-28",
    "chatgpt": "2022-11-30",
    "gpt35": "2022-11-30",
    "llama": "2023-02-24",
    "gpt4": "2023-03-14",
    "llama2": "2023-07-18",
    "mistral7b": "2023-09-27",
    "gpt4turbo": "2023-11-06",
    "deepseek7b": "2023-11-29",
    "gemini10": "2023-12-13",
    "gemini15": "2024-02-15",
    "claude3": "2024-03-04",
    "llama3": "2024-04-18",
    "gpt4o": "2024-05-13",
    "qwen27b": "2024-06-07",
    "qwen2": "2024-06-07",
    "llama31": "2024-07-23",
    "claude37": "2025-02-24",
    "gpt45": "2025-02-27",
    "gemini25": "2025-03-25",
}


def released(generator: str, date: str = "") -> str:
    """The day on which a generator came out, as 2024-05-13; "" if it is not known.

    Args:
      generator: its name.
      date: what the data says of when its text was written: a year, a month or a day. It goes first.
    """
    if found := re.match(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?", date):
        year, month, day = found.groups()
        return f"{year}-{month or '01'}-{day or '01'}"
    name = re.sub("[^a-z0-9]", "", generator.lower())
    known = [key for key in RELEASED if name.startswith(key)]
    return RELEASED[max(known, key=len)] if known else ""
