SELECT day / 30 AS month, article % 10 AS class, count(*), sum(count), min(customer), avg(count)
FROM purchase GROUP BY month, class ORDER BY month, class;
