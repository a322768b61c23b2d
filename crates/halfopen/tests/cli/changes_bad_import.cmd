halfopen changes import /dev/null --data $DATA
