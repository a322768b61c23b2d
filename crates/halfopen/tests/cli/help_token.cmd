halfopen token new --help
