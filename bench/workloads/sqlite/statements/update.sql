BEGIN;
UPDATE purchase SET count = count + 1 WHERE day % 3 = 0;
UPDATE article SET price = price + (SELECT count(*) FROM purchase WHERE purchase.article = article.id);
DELETE FROM purchase WHERE id % 11 = 0;
INSERT INTO purchase(customer, article, day, count) SELECT customer, article, day + 1, 1 FROM purchase WHERE id % 13 = 0;
SELECT count(*), sum(count), (SELECT sum(price) FROM article) FROM purchase;
ROLLBACK;
