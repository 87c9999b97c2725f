PRAGMA page_size = 4096;
PRAGMA application_id = 0;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE customer_sessions (
  email_key VARCHAR(255) PRIMARY KEY,
  email VARCHAR(255) NOT NULL,
  status VARCHAR(16) NOT NULL,
  token VARCHAR(64) NOT NULL,
  data TEXT NOT NULL,
  requested_at BIGINT NOT NULL,
  supervisor VARCHAR(64) NOT NULL,
  last_sent BIGINT NOT NULL
);
INSERT INTO "customer_sessions" VALUES('carol@example.com','carol@example.com','RUNNING','285556132f2740184f5dfb8c29410f04c4e6a1bee431fb817f0fb5d98e79ea7d','{"USER_COUNT":1}',1795878797732828,'s1',1);
CREATE TABLE health (checked_at INTEGER NOT NULL);
INSERT INTO "health" VALUES(0);
CREATE TABLE session_messages (
  supervisor VARCHAR(64) NOT NULL,
  seq BIGINT NOT NULL,
  sender TEXT NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (supervisor, seq)
);
INSERT INTO "session_messages" VALUES('s1',1,'"CUSTOMER"','"good morning"');
INSERT INTO "session_messages" VALUES('s1',2,'1','"good day"');
CREATE TABLE unheard (
  supervisor VARCHAR(64) NOT NULL,
  number BIGINT NOT NULL,
  message_id VARCHAR(255) NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (supervisor, number)
);
CREATE INDEX customer_sessions_by_supervisor ON customer_sessions (supervisor);
COMMIT;
