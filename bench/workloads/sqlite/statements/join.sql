SELECT city, count(*), sum(price * purchase.count), max(title)
FROM customer JOIN purchase ON purchase.customer = customer.id JOIN article ON article.id = purchase.article
GROUP BY city ORDER BY 3 DESC, city;
