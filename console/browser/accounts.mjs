// What brains thought and did, for who asks why a step failed on a machine that is gone.

/** Where the brains answer that the tests have started and not stopped. */
export const brains = new Set();

const LONGEST_ITEM = 3_000;
/** The lists, and what is told of their items. */
const LISTS = {
  incidents: ({ id, state, opened_ms, summary }) => ({ id, state, opened_ms, summary }),
  proposals: ({ id, state, created_ms, action }) => ({ id, state, created_ms, action }),
  actions: ({ id, phase, kind, effect }) => ({ id, phase, kind, effect }),
  canaries: (whole) => whole,
  "audit?newest=true&limit=60": (record) => record,
};

async function told(url, [path, of]) {
  try {
    const { items } = await (await fetch(`${url}/v1/${path}`)).json();
    return [path, ...items.map((one) => `  ${JSON.stringify(of(one)).slice(0, LONGEST_ITEM)}`)].join("\n");
  } catch (why) {
    return `${path}: ${why}`;
  }
}

/** What each brain says, as text. */
export async function accounts() {
  const of = async (url) => [`the brain at ${url}, ${Date.now()}`, ...(await Promise.all(Object.entries(LISTS).map((list) => told(url, list))))].join("\n");
  return (await Promise.all([...brains].map(of))).join("\n");
}
