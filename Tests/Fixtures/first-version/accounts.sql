PRAGMA page_size = 4096;
PRAGMA application_id = 0;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE health (checked_at INTEGER NOT NULL);
INSERT INTO "health" VALUES(0);
CREATE TABLE revoked_logins (family VARCHAR(64) PRIMARY KEY, expires_at BIGINT NOT NULL);
CREATE TABLE session_events (
  event_id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind VARCHAR(16) NOT NULL,
  user_id VARCHAR(64) NOT NULL,
  session_id VARCHAR(64) NOT NULL
);
CREATE TABLE used_refresh_tokens (token_id VARCHAR(64) PRIMARY KEY, expires_at BIGINT NOT NULL);
CREATE TABLE user_sessions (
  session_id VARCHAR(64) PRIMARY KEY,
  user_id VARCHAR(64) NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
  created_at TIMESTAMP NOT NULL
);
INSERT INTO "user_sessions" VALUES('eve-0123456789-0123456789-0123456789','9ae7cd9226b33ffbb21442b173ac80a3886ace53e5588091cbcbc1b304710d5c','2026-11-28T15:13:17.469415Z');
INSERT INTO "user_sessions" VALUES('e8f31aa6add83ed6c07581e2f67ff7c27ada9717880b52d1a827fa367c816344','77976d3f2d1eb13d91b34be307236d3865738ac74fdaf3ae79e46aa619e7b5f2','2026-11-28T15:13:17.528286Z');
INSERT INTO "user_sessions" VALUES('ebc48b6b62134262dd49367064aa3b149c490c5a95161468a11785e4d0744c1a','592a65e1e8126a739fddeb14067c0a1baaca795ab76d564978cfe08a7bac407c','2026-11-28T15:13:17.588631Z');
CREATE TABLE users (
  user_id VARCHAR(64) PRIMARY KEY,
  user_email VARCHAR(255) UNIQUE NOT NULL,
  username VARCHAR(150) UNIQUE NOT NULL,
  password_hash VARCHAR(256) NOT NULL,
  salt VARCHAR(64) NOT NULL,
  created_at TIMESTAMP NOT NULL,
  last_login TIMESTAMP,
  email_key VARCHAR(255) UNIQUE,
  username_key VARCHAR(600) UNIQUE
);
INSERT INTO "users" VALUES('9ae7cd9226b33ffbb21442b173ac80a3886ace53e5588091cbcbc1b304710d5c','eve@example.com','eve','pbkdf2-sha256$10$f9a2df088caea1e0e63ee74b0b8b9d7303c6250c6ddab9d54d3555c91ce88b5d','aae3b4d0fbe524a75360cfe7dd5690b9','2026-11-28T15:13:17.433193Z','2026-11-28T15:13:17.457495Z','eve@example.com','eve');
INSERT INTO "users" VALUES('77976d3f2d1eb13d91b34be307236d3865738ac74fdaf3ae79e46aa619e7b5f2','77976d3f2d1eb13d91b34be307236d3865738ac74fdaf3ae79e46aa619e7b5f2@chat.invalid','ann','pbkdf2-sha256$10$71865bcfaf459aeade63ecccc2947282c9665b1d4d419818c5925b8aacaa0177','7c88cc08246bd2358371840d1c472340','2026-11-28T15:13:17.489018Z','2026-11-28T15:13:17.520306Z','77976d3f2d1eb13d91b34be307236d3865738ac74fdaf3ae79e46aa619e7b5f2@chat.invalid','ann');
INSERT INTO "users" VALUES('592a65e1e8126a739fddeb14067c0a1baaca795ab76d564978cfe08a7bac407c','592a65e1e8126a739fddeb14067c0a1baaca795ab76d564978cfe08a7bac407c@chat.invalid','Bob','pbkdf2-sha256$10$be8de6781eebd42c01cd6d80e9c82a7e40a3514c4b439e3101c794f21a85286d','d8b949fa3f560162f6ebc15b485b2a7b','2026-11-28T15:13:17.579990Z','2026-11-28T15:13:17.588297Z','592a65e1e8126a739fddeb14067c0a1baaca795ab76d564978cfe08a7bac407c@chat.invalid','bob');
INSERT INTO "users" VALUES('b162166bde835db07618a9dba32c760a7dea79cba9f333fd5381be77673cc228','carol@example.com','carol','pbkdf2-sha256$10$3dea3f65009980781a9e43a4913a0f7d152a1fe9d9478ab9d7d14acc6619035a','bd0ddb1879fb97061fc9fe96696ec42d','2026-11-28T15:13:17.709552Z','2026-11-28T15:13:17.732219Z','carol@example.com','carol');
CREATE TRIGGER users_keys AFTER INSERT ON users WHEN NEW.email_key IS NULL OR NEW.username_key IS NULL BEGIN
  UPDATE users SET email_key = lower(NEW.user_email), username_key = lower(NEW.username) WHERE user_id = NEW.user_id;
END;
CREATE INDEX user_sessions_by_user ON user_sessions (user_id);
CREATE INDEX used_refresh_tokens_by_expiry ON used_refresh_tokens (expires_at);
CREATE INDEX revoked_logins_by_expiry ON revoked_logins (expires_at);
DELETE FROM "sqlite_sequence";
COMMIT;
