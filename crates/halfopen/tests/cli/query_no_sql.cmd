halfopen query --data $DATA "selekt 1"
