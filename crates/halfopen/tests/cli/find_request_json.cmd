halfopen find req_0130 --json --data $DATA
