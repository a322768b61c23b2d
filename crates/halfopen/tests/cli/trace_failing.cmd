halfopen trace req_0130 --data $DATA
