halfopen query --rows-max 2 --data $DATA "select distinct service from spans order by service"
