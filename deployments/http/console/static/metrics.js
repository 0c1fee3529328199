// Prometheus' text, counted by version, and what changed between two looks at it.

const LINE = /^(?:ray_)?(embedserve_[a-z0-9_]+)\{([^}]*)\} (\S+)/;
const LABEL = /([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"/g;

function fresh() {
  return { requests: 0, errors: 0, refused: 0, hits: 0, lookups: 0, queue: 0, latency: {}, shadow: { sum: 0, count: 0 }, shared: {} };
}

function labelsOf(text) {
  return Object.fromEntries([...text.matchAll(LABEL)].map(([, name, value]) => [name, value]));
}

function add(version, name, labels, value) {
  if (name === "embedserve_requests_total") {
    version.requests += value;
    if (labels.code?.startsWith("5")) version.errors += value;
  } else if (name === "embedserve_shed_total") version.refused += value;
  else if (name === "embedserve_cache_lookups_total") {
    version.lookups += value;
    if (labels.result === "hit") version.hits += value;
  } else if (name === "embedserve_queue_items") version.queue += value;
  else if (name === "embedserve_request_duration_seconds_bucket") {
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    version.latency[bound] = (version.latency[bound] ?? 0) + value;
  } else if (name === "embedserve_shadow_cosine_sum") version.shadow.sum += value;
  else if (name === "embedserve_shadow_cosine_count") version.shadow.count += value;
}

const NEAREST = 10; // of which the gauge counts those that both versions find

function agree(version, other, same, count) {
  const found = (version.shared[other] ??= { inputs: 0, same: 0 });
  found.inputs += count;
  found.same += (count * same) / NEAREST;
}

export function parse(text) {
  const versions = new Map();
  const counted = (name) => {
    if (!versions.has(name)) versions.set(name, fresh());
    return versions.get(name);
  };
  for (const line of text.split("\n")) {
    const match = LINE.exec(line);
    if (!match) continue;
    const labels = labelsOf(match[2]);
    const label = labels.shadow ?? labels.version; // a cosine to the primary is the shadow's
    if (!labels.model || !label || label === "*") continue;
    const value = Number(match[3]);
    if (match[1] === "embedserve_neighbour_inputs") {
      agree(counted(`${labels.model}@${label}`), labels.other, Number(labels.same), value);
      agree(counted(`${labels.model}@${labels.other}`), label, Number(labels.same), value);
    } else add(counted(`${labels.model}@${label}`), match[1], labels, value);
  }
  return versions;
}

// A replica that ended takes its counts along, which shows as 0.
function grown(now, before) {
  return Math.max(now - (before ?? 0), 0);
}

export function between(now, before, seconds) {
  const requests = grown(now.requests, before?.requests);
  const lookups = grown(now.lookups, before?.lookups);
  const latency = {};
  for (const [bound, count] of Object.entries(now.latency)) latency[bound] = grown(count, before?.latency[bound]);
  return {
    rate: requests / seconds,
    errors: grown(now.errors, before?.errors) / seconds,
    refused: grown(now.refused, before?.refused) / seconds,
    hits: lookups ? grown(now.hits, before?.hits) / lookups : null,
    queue: now.queue,
    p50: quantile(latency, 0.5),
    p99: quantile(latency, 0.99),
  };
}

// Milliseconds, linear within a bucket as Prometheus does it; null where nothing was answered.
export function quantile(buckets, part) {
  const bounds = Object.keys(buckets).map(Number).sort((a, b) => a - b);
  const total = bounds.length ? buckets[bounds.at(-1)] : 0;
  if (!total) return null;
  let lower = 0;
  let below = 0;
  for (const bound of bounds) {
    const count = buckets[bound];
    if (count >= part * total) {
      if (bound === Infinity) return lower * 1000;
      return (lower + ((bound - lower) * (part * total - below)) / Math.max(count - below, 1e-9)) * 1000;
    }
    lower = bound;
    below = count;
  }
  return lower * 1000;
}
