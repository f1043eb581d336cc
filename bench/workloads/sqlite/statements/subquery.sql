SELECT count(*), sum(best) FROM (
  SELECT id, (SELECT max(price) FROM purchase JOIN article ON article.id = purchase.article
              WHERE purchase.customer = customer.id) AS best
  FROM customer)
WHERE best > (SELECT avg(price) FROM article);
