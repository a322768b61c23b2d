halfopen map --help
