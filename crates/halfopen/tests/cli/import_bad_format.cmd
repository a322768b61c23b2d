halfopen import traces.json --format yaml
