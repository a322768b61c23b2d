halfopen why --url ftp://example
