#pragma once
#include <sqlite3.h>
// Disables the checkpoint when a connection closes. Swift cannot call `sqlite3_db_config`, which is
// variadic.
static inline int parley_sqlite_no_checkpoint_on_close(sqlite3 *db) {
  return sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}

// Disables the mutexes of connections, which one thread uses at a time, and the memory statistics,
// which take a mutex for each allocation.
static inline int parley_sqlite_configure(void) {
  int status = sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
  return status == SQLITE_OK ? sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) : status;
}
