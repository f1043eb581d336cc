WITH RECURSIVE
  axis_x(x) AS (SELECT -2.0 UNION ALL SELECT x + 0.05 FROM axis_x WHERE x < 1.2),
  axis_y(y) AS (SELECT -1.0 UNION ALL SELECT y + 0.1 FROM axis_y WHERE y < 1.0),
  orbit(i, cx, cy, x, y) AS (
    SELECT 0, x, y, 0.0, 0.0 FROM axis_x, axis_y
    UNION ALL
    SELECT i + 1, cx, cy, x * x - y * y + cx, 2.0 * x * y + cy FROM orbit WHERE x * x + y * y < 4.0 AND i < 60)
SELECT count(*), sum(i), max(i) FROM orbit;
