// A reporter of node's test runner with the lines of outcomes.py. A test's id is its file and the
// names of the suites around it.
import { relative } from 'node:path';

export default async function* outcomes(source) {
  const names = [];
  for await (const { type, data } of source) {
    if (type === 'test:start') {
      names.length = data.nesting;
      names[data.nesting] = data.name;
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const file = data.nesting === 0 && data.name === data.file;
    if ((file || data.details?.type === 'suite') && type === 'test:pass') continue;
    if (data.details?.error?.failureType === 'subtestsFailed') continue;
    const id = file ? 'the whole file' : [...names.slice(0, data.nesting), data.name].join(' > ');
    const outcome = data.skip !== undefined ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed';
    yield `${outcome}\t${relative(process.cwd(), data.file ?? '')}::${id}\n`;
  }
}
