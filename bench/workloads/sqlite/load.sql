-- The tables of the workload: a shop with customers, articles and orders. All numbers come from a congruential
-- generator in SQL, so every run makes the same rows.
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -65536;
CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT NOT NULL, city INTEGER NOT NULL);
CREATE TABLE article(id INTEGER PRIMARY KEY, title TEXT NOT NULL, price INTEGER NOT NULL);
CREATE TABLE purchase(
  id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, article INTEGER NOT NULL, day INTEGER NOT NULL, count INTEGER NOT NULL);
BEGIN;
WITH RECURSIVE n(i, r) AS (SELECT 1, 12345 UNION ALL SELECT i + 1, (r * 1103515245 + 12345) % 2147483648 FROM n WHERE i < 2000)
INSERT INTO customer SELECT i, printf('customer %05d of %x', i, r), r / 65536 % 50 FROM n;
WITH RECURSIVE n(i, r) AS (SELECT 1, 54321 UNION ALL SELECT i + 1, (r * 1103515245 + 12345) % 2147483648 FROM n WHERE i < 1000)
INSERT INTO article SELECT i, upper(hex(i * r % 65521)) || ' article ' || i, 100 + r / 65536 % 9900 FROM n;
WITH RECURSIVE n(i, r) AS (SELECT 1, 98765 UNION ALL SELECT i + 1, (r * 1103515245 + 12345) % 2147483648 FROM n WHERE i < 50000)
INSERT INTO purchase SELECT i, 1 + r / 65536 % 2000, 1 + r / 1024 % 1000, r / 4096 % 365, 1 + r / 131072 % 7 FROM n;
COMMIT;
CREATE INDEX purchase_customer ON purchase(customer);
CREATE INDEX purchase_article ON purchase(article, day);
ANALYZE;
SELECT 'rows', (SELECT count(*) FROM customer), (SELECT count(*) FROM article), (SELECT count(*) FROM purchase);
