"""One file per verb: `parser(parser)` adds the arguments, `run(options)` does the work and returns the exit status."""
