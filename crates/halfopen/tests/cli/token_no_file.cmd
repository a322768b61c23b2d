halfopen why --token-file no/such/file
