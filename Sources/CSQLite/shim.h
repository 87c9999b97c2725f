#pragma once
#include <sqlite3.h>
// Variadic in C, so Swift cannot call it.
static inline int parley_sqlite_no_checkpoint_on_close(sqlite3 *db) {
  return sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}

// No mutex in a connection, which one thread uses at a time, and none in each allocation for statistics that nobody reads.
static inline int parley_sqlite_configure(void) {
  int status = sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
  return status == SQLITE_OK ? sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) : status;
}
