// How memory is held, as Node programs hold it: one line on standard input is one request.
// shapes.js SHAPE SIZE BOUND
const [shape, size, bound] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const held = [];
const cache = new Map();
const emitter = new (require("node:events"))();
emitter.setMaxListeners(0);
let served = 0;
let passing = null;
const thing = () => ({ id: served, text: "x".repeat(8) + served, list: new Array(Math.max(1, size >> 3)).fill(served) });
const shapes = {
    leak: () => held.push(thing()),
    buffers: () => held.push(Buffer.alloc(size, 1)),
    listeners: () => { const mine = thing(); emitter.on("never", () => mine); },
    garbage: () => { passing = [thing(), thing(), passing && passing[0]].slice(0, 2); },
    "garbage-leak": () => { passing = [thing(), thing()]; if (served % 4 === 0) held.push(thing()); },
    ring: () => { cache.set(served % bound, thing()); },
    lru: () => {
        const key = Math.floor(Math.random() * 2 * bound);
        const value = cache.get(key) || thing();
        cache.delete(key);
        cache.set(key, value);
        if (cache.size > bound) cache.delete(cache.keys().next().value);
    },
};
let rest = "";
process.stdin.on("data", (data) => {
    const lines = (rest + data).split("\n");
    rest = lines.pop();
    for (let i = 0; i < lines.length; i++) { shapes[shape](); served++; }
});
