// Seconds that pass, told to somebody: `tick(left)` now and with every second, `end()` after the last.

export function countDown(seconds, tick, end) {
  const until = Date.now() + seconds * 1000;
  const timer = setInterval(step, 250);
  let shown = null;
  function step() {
    const left = Math.ceil((until - Date.now()) / 1000);
    if (left <= 0) {
      clearInterval(timer);
      end();
    } else if (left !== shown) {
      shown = left;
      tick(left);
    }
  }
  step();
  return () => clearInterval(timer);
}
