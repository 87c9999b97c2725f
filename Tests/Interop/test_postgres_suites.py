"""The suites of tokens, rules, chat and sessions again, with the tables of all services but the
broker in PostgreSQL."""

import unittest
from unittest import mock

import harness
import test_chat
import test_chat_kill
import test_rules
import test_sessions
import test_tokens
from postgres import Postgres

MODULES = (test_rules, test_tokens, test_chat, test_chat_kill, test_sessions)
# These look at the files of SQLite. `test_postgres_users` has their counterparts.
OF_FILES = {"test_the_tables_match_the_seed", "test_a_database_is_removed_and_restored", "test_a_port_in_use_is_one_line"}
postgres = None


def setUpModule():
    global postgres
    # `test_chat_kill` kills at 50 moments. Here fewer are enough.
    patch = mock.patch.object(test_chat_kill, "ROUNDS", 10)
    patch.start()
    unittest.addModuleCleanup(patch.stop)
    postgres = Postgres(fsync="off")
    postgres.access()
    postgres.start()
    unittest.addModuleCleanup(postgres.stop)


class OnPostgres(harness.Server):
    """Each server has a database of its own. A server that is started again keeps it."""

    number = 0

    def __init__(self, *flags, **more):
        OnPostgres.number += 1
        name = f"suite{OnPostgres.number}"
        postgres.sql(f"CREATE DATABASE {name}", database="postgres")
        url = postgres.url(database=name)
        super().__init__(*flags, "--database", url, **more)


def on_postgres(case, module):
    """The same test case, whose servers are `OnPostgres`."""
    def set_up(cls):
        patch = mock.patch.object(module, "Server", OnPostgres)
        patch.start()
        cls.addClassCleanup(patch.stop)
        super(again, cls).setUpClass()
    again = type(case.__name__ + "OnPostgres", (case,), {"setUpClass": classmethod(set_up), "__module__": __name__})
    return again


def load_tests(loader, tests, pattern):
    suite = unittest.TestSuite()
    for module in MODULES:
        for name, case in sorted(vars(module).items()):
            if isinstance(case, type) and issubclass(case, unittest.TestCase) and case.__module__ == module.__name__:
                again = on_postgres(case, module)
                suite.addTests(again(test) for test in loader.getTestCaseNames(case) if test not in OF_FILES)
    return suite


if __name__ == "__main__":
    unittest.main()
