halfopen changes add --kind party --service a --data $DATA
