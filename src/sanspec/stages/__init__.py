"""One file per stage: `arguments(parser)` declares its command line, `run(args)` reads files and writes files."""
