halfopen why --help
