halfopen trace req_0130 --ascii --data $DATA
