// Keeps the orders that are worth it: an order with "total" of at least 100 goes to the topic <topic>.large, as it is;
// a smaller one goes nowhere. A tombstone deletes the order there, too. What is no order is rejected.

const LEAST = 100;

/** messaging-kafka:records/processor: takes a batch of records, and returns one result for each. */
export const processor = {
  process: (records) => records.map(filter),
};

function filter(record) {
  // A value is { tag: 'none' }, { tag: 'text', val: string }, { tag: 'bytes', val: Uint8Array } or, with the link's
  // binary=base64, { tag: 'base64', val: string }.
  if (record.value.tag === 'none') return ok([onwards(record)]);
  if (record.value.tag !== 'text') return reject('the order is not UTF-8');
  let order;
  try {
    order = JSON.parse(record.value.val);
  } catch (e) {
    return reject(`the order is not JSON: ${e.message}`);
  }
  if (typeof order?.total !== 'number') return reject('the order has no total');
  return ok(order.total >= LEAST ? [onwards(record)] : []);
}

/** The record to produce: with key, value, headers and timestamp of the one that came. */
function onwards({ topic, key, value, headers, timestamp }) {
  return { topic: `${topic}.large`, partition: null, key, value, headers, timestamp };
}

function ok(outputs) {
  return { tag: 'ok', val: outputs };
}

function reject(reason) {
  return { tag: 'err', val: { tag: 'reject', val: reason } };
}
