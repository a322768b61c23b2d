halfopen import --help
