PRAGMA page_size = 4096;
PRAGMA application_id = 0;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE chat_groups (group_id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(150) NOT NULL);
INSERT INTO "chat_groups" VALUES(1,'climbers');
CREATE TABLE chat_users (
  user_number INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id VARCHAR(64) UNIQUE NOT NULL,
  username VARCHAR(150) NOT NULL
);
INSERT INTO "chat_users" VALUES(1,'77976d3f2d1eb13d91b34be307236d3865738ac74fdaf3ae79e46aa619e7b5f2','ann');
INSERT INTO "chat_users" VALUES(2,'592a65e1e8126a739fddeb14067c0a1baaca795ab76d564978cfe08a7bac407c','Bob');
CREATE TABLE connections (user_number INTEGER PRIMARY KEY, last_connection BIGINT NOT NULL);
INSERT INTO "connections" VALUES(1,1);
INSERT INTO "connections" VALUES(2,1);
CREATE TABLE contacts (
  low BIGINT NOT NULL,
  high BIGINT NOT NULL,
  status VARCHAR(8) NOT NULL,
  asker BIGINT NOT NULL,
  blocker BIGINT,
  PRIMARY KEY (low, high)
);
INSERT INTO "contacts" VALUES(1,2,'friend',1,NULL);
CREATE TABLE conversations (conversation VARCHAR(48) PRIMARY KEY, last_seq BIGINT NOT NULL);
INSERT INTO "conversations" VALUES('d1-2',3);
INSERT INTO "conversations" VALUES('g1',1);
CREATE TABLE departures (
  departure_id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_number BIGINT NOT NULL,
  connection BIGINT NOT NULL
);
CREATE TABLE health (checked_at INTEGER NOT NULL);
INSERT INTO "health" VALUES(0);
CREATE TABLE memberships (
  group_id BIGINT NOT NULL,
  user_number BIGINT NOT NULL,
  is_admin BOOLEAN NOT NULL,
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  first_seq BIGINT NOT NULL,
  last_seq BIGINT
);
INSERT INTO "memberships" VALUES(1,1,1,1,1,NULL);
INSERT INTO "memberships" VALUES(1,2,0,2,1,NULL);
CREATE TABLE messages (
  message_id INTEGER PRIMARY KEY,
  conversation VARCHAR(48) NOT NULL,
  seq BIGINT NOT NULL,
  sender BIGINT NOT NULL,
  content TEXT NOT NULL,
  kind VARCHAR(8) NOT NULL,
  created_at TIMESTAMP NOT NULL,
  client_id VARCHAR(128),
  UNIQUE (conversation, seq)
);
INSERT INTO "messages" VALUES(5,'d1-2',1,1,'hello 0 ☃','text','2026-11-28T15:13:17.660899Z','c0');
INSERT INTO "messages" VALUES(6,'d1-2',2,1,'hello 1 ☃','text','2026-11-28T15:13:17.669272Z','c1');
INSERT INTO "messages" VALUES(7,'d1-2',3,1,'hello 2 ☃','text','2026-11-28T15:13:17.690650Z','c2');
INSERT INTO "messages" VALUES(8,'g1',1,1,'to all','text','2026-11-28T15:13:17.697110Z',NULL);
CREATE TABLE positions (only INTEGER PRIMARY KEY CHECK (only = 1), last_position BIGINT NOT NULL);
INSERT INTO "positions" VALUES(1,8);
CREATE TABLE publications (
  position BIGINT NOT NULL,
  part BIGINT NOT NULL,
  event VARCHAR(32) NOT NULL,
  payload TEXT NOT NULL,
  rooms TEXT NOT NULL,
  PRIMARY KEY (position, part)
);
INSERT INTO "publications" VALUES(1,0,'contact_added','{"user_id":2,"username":"Bob","status":"new","is_online":false}','1');
INSERT INTO "publications" VALUES(1,1,'contact_request','{"user_id":1,"username":"ann"}','2');
INSERT INTO "publications" VALUES(2,0,'contact_added','{"user_id":1,"username":"ann","status":"friend","is_online":false}','2');
INSERT INTO "publications" VALUES(2,1,'contact_changed','{"user_id":2,"username":"Bob","status":"friend","is_online":false}','1');
INSERT INTO "publications" VALUES(3,0,'group_changed','{"group_id":1,"name":"climbers","members":["ann","Bob"]}','1 2');
INSERT INTO "publications" VALUES(4,0,'user_status','{"user_id":1,"username":"ann","status":"online"}','2');
CREATE TABLE sockets (
  socket_id VARCHAR(128) PRIMARY KEY,
  user_number BIGINT NOT NULL,
  namespace VARCHAR(32) NOT NULL,
  life VARCHAR(64) NOT NULL
);
INSERT INTO "sockets" VALUES('999d04105dafbe4b04979c824244cfce/users20894a830aaf18e2bc76',1,'/users','5f46cd7ff1f2d86770513b6c8a44f791');
INSERT INTO "sockets" VALUES('a031b302c22e738d06d4df44ea45cecb/userscbf86b6f3fa9e04e90ce',2,'/users','5f46cd7ff1f2d86770513b6c8a44f791');
INSERT INTO "sockets" VALUES('cdc4efb15939282fcbca76b86db37a41/94e85b9053f56590d261',1,'/','5f46cd7ff1f2d86770513b6c8a44f791');
CREATE INDEX chat_users_by_name ON chat_users (username);
CREATE INDEX contacts_by_high ON contacts (high);
CREATE UNIQUE INDEX memberships_now ON memberships (group_id, user_number) WHERE last_seq IS NULL;
CREATE INDEX memberships_by_user ON memberships (user_number, group_id);
CREATE INDEX sockets_by_user ON sockets (user_number, namespace);
CREATE UNIQUE INDEX messages_by_client_id ON messages (sender, client_id) WHERE client_id IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('departures',0);
INSERT INTO "sqlite_sequence" VALUES('chat_users',2);
INSERT INTO "sqlite_sequence" VALUES('chat_groups',1);
INSERT INTO "sqlite_sequence" VALUES('memberships',2);
COMMIT;
