"""What runs it: recipe, graph, runner, publishing and the command line."""
