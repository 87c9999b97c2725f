#pragma once
#include <sqlite3.h>
// Variadic in C, so Swift cannot call it.
static inline int parley_sqlite_no_checkpoint_on_close(sqlite3 *db) {
  return sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}
