PRAGMA page_size = 4096;
PRAGMA application_id = 0;
PRAGMA user_version = 3;
BEGIN TRANSACTION;
CREATE TABLE demands (demand_id INTEGER PRIMARY KEY, supervisor VARCHAR(64) NOT NULL, user_count BIGINT NOT NULL);
CREATE TABLE forwarded (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  supervisor VARCHAR(64) NOT NULL,
  message_id VARCHAR(255) NOT NULL,
  user_key VARCHAR(255) NOT NULL,
  message TEXT NOT NULL,
  UNIQUE (supervisor, message_id)
);
CREATE TABLE handled (position INTEGER PRIMARY KEY AUTOINCREMENT, message_id VARCHAR(255) UNIQUE NOT NULL);
INSERT INTO "handled" VALUES(1,'userServer/there/1/1');
INSERT INTO "handled" VALUES(2,'userServer/there/2/1');
INSERT INTO "handled" VALUES(3,'customerServer/start/5fb09dab8a371cda');
INSERT INTO "handled" VALUES(4,'supervisors/s1/1/initialize');
INSERT INTO "handled" VALUES(5,'supervisors/s1/1/users');
INSERT INTO "handled" VALUES(6,'supervisors/s1/1/tell/1/1');
INSERT INTO "handled" VALUES(7,'userServer/says/9568c9a388b17adc0655fcb1bd7ffc54');
INSERT INTO "handled" VALUES(8,'userServer/says/42ebd5e10d14e74fe80f813f63333bf0');
CREATE TABLE health (checked_at INTEGER NOT NULL);
INSERT INTO "health" VALUES(0);
CREATE TABLE manager (only INTEGER PRIMARY KEY CHECK (only = 1), identity VARCHAR(64) NOT NULL, next_session BIGINT NOT NULL);
INSERT INTO "manager" VALUES(1,'e9c9cabb536b7195',2);
CREATE TABLE outbox (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  kind VARCHAR(8) NOT NULL,
  exchange VARCHAR(255) NOT NULL,
  routing_key VARCHAR(255) NOT NULL,
  properties BLOB NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE pool_users (
  user_key VARCHAR(255) PRIMARY KEY,
  connection BIGINT NOT NULL,
  place VARCHAR(8) NOT NULL,
  supervisor VARCHAR(64) NOT NULL,
  turn BIGINT NOT NULL
);
INSERT INTO "pool_users" VALUES('1',1,'serving','s1',1);
INSERT INTO "pool_users" VALUES('2',1,'free','',2);
CREATE TABLE relayed (
  supervisor VARCHAR(64) NOT NULL,
  user_key VARCHAR(255) NOT NULL,
  last_seq BIGINT NOT NULL,
  PRIMARY KEY (supervisor, user_key)
);
INSERT INTO "relayed" VALUES('s1','1',1);
CREATE TABLE sessions (
  supervisor VARCHAR(64) PRIMARY KEY,
  email VARCHAR(255) NOT NULL,
  epoch BIGINT NOT NULL,
  status VARCHAR(16) NOT NULL,
  host VARCHAR(128) NOT NULL,
  data TEXT NOT NULL,
  is_own BOOLEAN NOT NULL
, additional BIGINT NOT NULL DEFAULT 0);
INSERT INTO "sessions" VALUES('s1','carol@example.com',1,'running','host-797b17622a79','{"USER_COUNT":1}',1,0);
CREATE TABLE transcripts (
  supervisor VARCHAR(64) NOT NULL,
  seq BIGINT NOT NULL,
  message_id VARCHAR(255) NOT NULL,
  sender TEXT NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (supervisor, seq),
  UNIQUE (supervisor, message_id)
);
INSERT INTO "transcripts" VALUES('s1',1,'customer/s1/1','"CUSTOMER"','"good morning"');
INSERT INTO "transcripts" VALUES('s1',2,'9568c9a388b17adc0655fcb1bd7ffc54','1','"good day"');
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('handled',8);
INSERT INTO "sqlite_sequence" VALUES('outbox',13);
INSERT INTO "sqlite_sequence" VALUES('forwarded',1);
COMMIT;
