halfopen find job-2026 --data $DATA
