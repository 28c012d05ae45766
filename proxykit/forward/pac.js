// What is fetched how. Written for old engines too: nothing newer than ECMAScript 3.

function words4(text) {
  var parts = text.split("."), n, i;
  if (parts.length !== 4) return null;
  for (i = 0; i < 4; i++) {
    if (!/^[0-9]{1,3}$/.test(parts[i])) return null;
    parts[i] = parseInt(parts[i], 10);
    if (parts[i] > 255) return null;
  }
  return [parts[0] * 256 + parts[1], parts[2] * 256 + parts[3]];
}

function words6(text) {
  var zone = text.indexOf("%"), tail = null, halves, left, right, words = [], i;
  if (zone >= 0) text = text.substring(0, zone);
  if (text.indexOf(".") >= 0) {
    tail = words4(text.substring(text.lastIndexOf(":") + 1));
    if (tail === null) return null;
    text = text.substring(0, text.lastIndexOf(":") + 1) + tail[0].toString(16) + ":" + tail[1].toString(16);
  }
  halves = text.split("::");
  if (halves.length > 2) return null;
  left = halves[0] === "" ? [] : halves[0].split(":");
  right = halves.length < 2 || halves[1] === "" ? [] : halves[1].split(":");
  if (halves.length === 1 ? left.length !== 8 : left.length + right.length > 7) return null;
  for (i = 0; i < 8; i++) {
    if (i < left.length) words[i] = left[i];
    else if (i >= 8 - right.length) words[i] = right[i - 8 + right.length];
    else words[i] = "0";
    if (!/^[0-9a-f]{1,4}$/.test(words[i])) return null;
    words[i] = parseInt(words[i], 16);
  }
  return words;
}

// The address that a text is, in words of 16 bits; null when it is none. One that maps an IPv4
// address is that.
function words(text) {
  var found = text.indexOf(":") < 0 ? words4(text) : words6(text), i;
  if (found !== null && found.length === 8 && found[5] === 65535) {
    for (i = 0; i < 5; i++) if (found[i] !== 0) return found;
    return [found[6], found[7]];
  }
  return found;
}

function inside(address, network) {
  var left = network.length, i, shift;
  if (address.length !== network.words.length) return false;
  for (i = 0; left > 0; i++, left -= 16) {
    shift = left >= 16 ? 0 : 16 - left;
    if (address[i] >> shift !== network.words[i] >> shift) return false;
  }
  return true;
}

function isDirectName(host) {
  var i, name, below;
  for (i = 0; i < RULES.names.length; i++) {
    name = RULES.names[i];
    if (name.self && host === name.text) return true;
    below = "." + name.text;
    if (name.below && host.length > below.length && host.slice(-below.length) === below) return true;
  }
  return false;
}

function isDirectAddress(host) {
  var address = words(host), i;
  if (address === null && RULES.resolve) address = words(dnsResolve(host) || "");
  if (address === null) return false;
  for (i = 0; i < RULES.networks.length; i++) {
    if (inside(address, RULES.networks[i])) return true;
  }
  return false;
}

function FindProxyForURL(url, host) {
  host = host.toLowerCase().replace(/^\[|\]$/g, "").replace(/\.$/, "");
  if (RULES.plain && host.indexOf(".") < 0 && host.indexOf(":") < 0) return "DIRECT";
  if (isDirectName(host)) return "DIRECT";
  if (RULES.networks.length > 0 && isDirectAddress(host)) return "DIRECT";
  return RULES.proxies;
}
