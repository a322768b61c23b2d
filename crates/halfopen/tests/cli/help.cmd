halfopen --help
