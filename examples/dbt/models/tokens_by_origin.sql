-- What the release holds, by source and origin.
select source, origin, count(*) as documents, sum(n_tokens) as tokens
from {{ source('release', 'documents') }}
group by source, origin
