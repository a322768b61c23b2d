halfopen find req_1 --url http://127.0.0.1:9
