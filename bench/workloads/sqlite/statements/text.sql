SELECT substr(name, 1, 11) AS head, count(*), sum(length(replace(title, 'ART', 'part'))), max(instr(title, 'le 9'))
FROM purchase JOIN customer ON customer.id = customer JOIN article ON article.id = article
WHERE title LIKE '%3%art%' OR name GLOB '*[af]?7*'
GROUP BY head ORDER BY head LIMIT 40;
