SELECT customer, total FROM (
  SELECT customer, day, sum(count) OVER (PARTITION BY customer ORDER BY day, id) AS total,
         row_number() OVER (PARTITION BY customer ORDER BY day DESC, id DESC) AS back
  FROM purchase)
WHERE back = 1 ORDER BY total DESC, customer LIMIT 25;
