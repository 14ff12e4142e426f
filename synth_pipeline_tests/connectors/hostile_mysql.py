"""A database of whatever MariaDB has to offer, as statements."""

HOSTILE = [
    "CREATE SEQUENCE ticket START WITH 100 INCREMENT BY 5",
    """
    CREATE TABLE customer (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT COMMENT 'whose', code CHAR(6) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL,
        `weird %s ``name` VARCHAR(40) COLLATE utf8mb4_bin DEFAULT 'it''s\\n50%', mood ENUM('sad','it''s ok','happy') NOT NULL DEFAULT 'sad',
        tags SET('a','b','c') DEFAULT 'a,c', many SET('m1','m2','m3','m4','m5','m6','m7','m8') NOT NULL DEFAULT '',
        flag BOOLEAN, grade TINYINT(1) NOT NULL DEFAULT 5, bits BIT(5), born YEAR, no INT(6) UNSIGNED ZEROFILL,
        share DECIMAL(5,2) UNSIGNED NOT NULL DEFAULT 0.5, doc JSON, place POINT, raw VARBINARY(16),
        touched TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), hidden INT INVISIBLE DEFAULT 3,
        boss BIGINT UNSIGNED, best BIGINT UNSIGNED, number INT DEFAULT NEXTVAL(ticket),
        twice DECIMAL(7,2) AS (share * 2) VIRTUAL, initial VARCHAR(9) AS (CONCAT(grade, flag)) STORED,
        PRIMARY KEY (id), UNIQUE KEY once (code), KEY by_boss (boss), KEY part (`weird %s ``name`(5) DESC),
        CONSTRAINT low CHECK (share < 100 AND code <> 'a,(b'), CHECK (grade BETWEEN 0 AND 9)
    ) AUTO_INCREMENT = 1000 COMMENT = 'of a kind; AUTO_INCREMENT=7' DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_unicode_ci
    """,
    """
    CREATE TABLE `Order` (
        no INT NOT NULL AUTO_INCREMENT, customer BIGINT UNSIGNED NOT NULL, placed DATETIME(6) NOT NULL, note TEXT, FULLTEXT KEY words (note),
        PRIMARY KEY (no), KEY customer (customer), CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES customer (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE line (
        `order` INT NOT NULL, line SMALLINT NOT NULL, amount DECIMAL(10,2) NOT NULL, PRIMARY KEY (`order`, line),
        CONSTRAINT of_order FOREIGN KEY (`order`) REFERENCES `Order` (no) ON UPDATE CASCADE
    )
    """,
    "ALTER TABLE customer ADD CONSTRAINT boss_fk FOREIGN KEY (boss) REFERENCES customer (id) ON DELETE SET NULL",
    "ALTER TABLE customer ADD best_order INT, ADD CONSTRAINT best_fk FOREIGN KEY (best_order) REFERENCES `Order` (no)",
    """
    CREATE TABLE event_log (at DATETIME NOT NULL, what VARCHAR(20), KEY (at)) PARTITION BY RANGE (YEAR(at))
        (PARTITION old VALUES LESS THAN (2020), PARTITION new VALUES LESS THAN MAXVALUE)
    """,
    "CREATE TABLE counted (grp INT NOT NULL, n INT NOT NULL AUTO_INCREMENT, KEY zz (grp), KEY aa (n))",
    "CREATE TABLE nokey (a INT, b VARCHAR(10))",
    "CREATE TABLE empty_one (id INT PRIMARY KEY AUTO_INCREMENT, v INT)",
    "CREATE TABLE aria (id INT PRIMARY KEY, v VARCHAR(10)) ENGINE = Aria",
    "CREATE VIEW happy AS SELECT id, code, share FROM customer WHERE mood = 'happy'",
    "CREATE VIEW a_happy_few AS SELECT h.id FROM happy h WHERE h.share > 0.1 WITH CHECK OPTION",
    "CREATE FUNCTION doubled(x INT) RETURNS INT DETERMINISTIC COMMENT 'twice' RETURN x * 2",
    "CREATE PROCEDURE cheer(IN who BIGINT) MODIFIES SQL DATA BEGIN UPDATE customer SET mood = 'happy' WHERE id = who; END",
    "CREATE VIEW doubled_view AS SELECT doubled(no) AS d FROM `Order`",
    "CREATE TRIGGER touch BEFORE INSERT ON customer FOR EACH ROW SET NEW.hidden = 77",
    "CREATE TRIGGER touch_again BEFORE INSERT ON customer FOR EACH ROW FOLLOWS touch SET NEW.hidden = NEW.hidden + 1",
    "CREATE EVENT tidy ON SCHEDULE EVERY 1 YEAR STARTS '2035-01-01 00:00:00' DISABLE DO DELETE FROM nokey WHERE a < 0",
    """
    INSERT INTO customer (id, code, `weird %s ``name`, mood, tags, many, flag, grade, bits, born, no, share, doc, place, raw, boss, number)
    SELECT seq, CONCAT('c', seq), CONCAT('v', seq % 7), ELT(1 + seq % 3, 'sad', 'it''s ok', 'happy'), ELT(1 + seq % 4, '', 'a', 'b,c', 'a,b,c'),
        ELT(1 + seq % 3, '', 'm1,m8', 'm2'), seq % 2, seq % 6, seq % 32, 1950 + seq % 60, seq, seq % 90 / 7, JSON_OBJECT('k', seq % 5),
        IF(seq % 3 = 0, NULL, ST_GeomFromText(CONCAT('POINT(', seq, ' 2)'))), UNHEX(MD5(seq)), NULL, seq
    FROM seq_1_to_300
    """,
    "UPDATE customer SET boss = id DIV 10 WHERE id >= 10",
    "INSERT INTO `Order` (no, customer, placed, note) "
    "SELECT seq, 1 + seq % 300, '2024-01-01' + INTERVAL seq HOUR, CONCAT('note ', seq % 9) FROM seq_1_to_500",
    "INSERT INTO line SELECT `no`, s.seq, no / 7 FROM `Order`, seq_1_to_3 s",
    "UPDATE customer SET best_order = id WHERE id <= 200",
    "INSERT INTO event_log SELECT '2018-01-01' + INTERVAL seq WEEK, CONCAT('e', seq % 5) FROM seq_1_to_200",
    "INSERT INTO counted (grp) SELECT seq % 4 FROM seq_1_to_20",
    "INSERT INTO nokey SELECT seq % 10, CONCAT('b', seq % 3) FROM seq_1_to_100",
    "INSERT INTO aria SELECT seq, CONCAT('x', seq) FROM seq_1_to_10",
    "DO SETVAL(ticket, 400)",
]
"""The triggers run while it is filled: `hidden` is 78 everywhere."""
