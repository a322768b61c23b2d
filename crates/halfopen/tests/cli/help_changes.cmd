halfopen changes --help
