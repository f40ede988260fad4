// The console speaks the public wire format only: Base64 of JSON in KEY_PARAM, the reader's token in KEY_TOKEN.

const BASE = "/starvcenter/services/cloudresource/";
const PAGE = 30;          // the most rows the wire gives in one page
const BATCH = 500;        // ids in one query of current values
const REFRESH = 5000;     // milliseconds

const HOST_STATES = { "1": ["running", "good"], "0": ["stopped", "bad"], "2": ["offline", "bad"], "-1": ["checking", "warn"], "-2": ["HA check", "warn"] };
const VM_STATES = { "1": ["running", "good"], "0": ["stopped", ""], "2": ["suspended", ""], "3": ["installing", "warn"], "4": ["cloning", "warn"], "-1": ["checking", "warn"], "-2": ["failed", "bad"] };
const LEVELS = { high: "bad", medium: "warn", low: "" };

const $ = (selector) => document.querySelector(selector);
const state = { token: sessionStorage.getItem("token"), platform: true, chosen: null, line: "minute", first: 1 };

class WireError extends Error {}

async function call(path, params = {}) {
  const json = new TextEncoder().encode(JSON.stringify(params));
  const body = new URLSearchParams({ KEY_PARAM: btoa(String.fromCharCode(...json)) });
  const response = await fetch(BASE + path, { method: path === "cloudalarm/relieve" ? "PUT" : "POST", body, headers: { KEY_TOKEN: state.token, "Accept-Language": "en" } });
  const bytes = Uint8Array.from(atob(await response.text()), (c) => c.charCodeAt(0));
  const answer = JSON.parse(new TextDecoder().decode(bytes));
  if (answer.result !== "0") throw new WireError(answer.resultinfo);
  return answer;
}

async function currents(type, ids) {
  const found = new Map();
  for (let at = 0; at < ids.length; at += BATCH) {
    const { data } = await call("cloudmonitor/compute/currents", { "monitor.obj.type": type, "monitor.objids": ids.slice(at, at + BATCH) });
    for (const row of data) found.set(row["monitor.obj"], row);
  }
  return found;
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const chip = ([text, tone]) => element("span", { class: `chip ${tone}` }, text);

function bar(percent) {
  if (percent === undefined || percent === "") return element("span", { class: "none" }, "no data");
  const tone = percent >= 95 ? "bad" : percent >= 80 ? "warn" : "";
  const shown = element("span", {}, element("span", { class: "bar" }, element("i", { class: tone, style: `width:${percent}%` })), `${percent} %`);
  return shown;
}

function objectRow(type, id, cells) {
  const row = element("tr", { "data-id": id, class: state.chosen?.id === id ? "chosen" : "" }, ...cells.map((cell) => element("td", {}, cell)));
  row.addEventListener("click", () => { state.chosen = { type, id, name: cells[0] }; refresh(); });
  return row;
}

async function showHosts() {
  const { data } = await call("cloudhost/search");
  const now = await currents("host", data.map((host) => host["host.id"]));
  $("#hosts tbody").replaceChildren(...data.map((host) => {
    const load = now.get(host["host.id"]) ?? {};
    return objectRow("host", host["host.id"], [host["host.name"], chip(HOST_STATES[host["host.state"]]), bar(load["monitor.cpu.rate"]), bar(load["monitor.mem.rate"]), load["monitor.cpu.num"] || host["host.cpu.num"], host["host.register.address"]]);
  }));
  return data;
}

async function showVms() {
  const named = $("#filter").value.trim();
  const { data, dataCount } = await call("cloudvm/search", { "page.startnum": state.first, "page.everypagenum": PAGE, ...(named && { "vm.name": named }) });
  const now = await currents("vm", data.map((vm) => vm["vm.id"]));
  $("#vms tbody").replaceChildren(...data.map((vm) => {
    const load = now.get(vm["vm.id"]) ?? {};
    return objectRow("vm", vm["vm.id"], [vm["vm.name"], chip(VM_STATES[vm["vm.state"]]), bar(load["monitor.cpu.rate"]), bar(load["monitor.mem.rate"]), vm["vm.vcpu.num"], vm["vm.ip"]]);
  }));
  const last = state.first + data.length - 1;
  $("#shown").textContent = data.length ? `${state.first}–${last} of ${dataCount}` : "none";
  $("#pager [data-step='-1']").disabled = state.first === 1;
  $("#pager [data-step='1']").disabled = last >= dataCount;
  return dataCount;
}

async function showAlarms() {
  const { data } = await call("cloudalarm/search", { isfindPage: "true", "alarm.relieve.way": "none" });
  $("#alarms .empty").hidden = data.length > 0;
  $("#alarms table").hidden = data.length === 0;
  $("#alarms tbody").replaceChildren(...data.map((alarm) => {
    const relieve = element("button", { title: "relieve this alarm by hand" }, "Relieve");
    relieve.addEventListener("click", async () => { await attempt(() => call("cloudalarm/relieve", { "alarm.id": alarm["alarm.id"] })); refresh(); });
    return element("tr", {}, element("td", {}, chip([alarm["alarm.level"], LEVELS[alarm["alarm.level"]]])), element("td", {}, alarm["alarm.objname"]), element("td", { class: "text" }, alarm["alarm.content"]), element("td", {}, alarm["alarm.create.time"]), element("td", {}, relieve));
  }));
  return data;
}

function path(points, top) {
  let drawn = "";
  let pen = "M";
  points.forEach((value, at) => {
    if (value === null) { pen = "M"; return; }
    drawn += `${pen}${(at / Math.max(points.length - 1, 1) * 600).toFixed(1)},${(130 - value / top * 120).toFixed(1)}${pen === "M" ? "h0" : ""}`;  // h0: a point alone is a dot
    pen = "L";
  });
  return drawn;
}

function chart(title, unit, times, first, second) {
  const values = [...first.points, ...(second?.points ?? [])].filter((value) => value !== null);
  const top = unit === "%" ? 100 : Math.max(1, ...values) * 1.1;
  const last = (series) => series.points.findLast((value) => value !== null) ?? "–";
  const keys = [first, second].filter(Boolean).map((series, at) => `<span><span class="${"ab"[at]}-key">●</span> ${series.name} <b>${last(series)} ${unit}</b></span>`).join("");
  const figure = element("figure");
  figure.innerHTML = `<figcaption><b>${title}</b>${keys}</figcaption><svg viewBox="0 0 600 140" preserveAspectRatio="none" role="img" aria-label="${title}">
    ${[10, 70, 130].map((y) => `<line class="grid" x1="0" x2="600" y1="${y}" y2="${y}"/>`).join("")}
    <path class="a" d="${path(first.points, top)}"/>${second ? `<path class="b" d="${path(second.points, top)}"/>` : ""}</svg>
    <div class="axis"><span>${times[0] ?? ""}</span><span>0–${top.toFixed(0)} ${unit}</span><span>${times.at(-1) ?? ""}</span></div>`;
  return figure;
}

async function showDetail() {
  $("#detail").hidden = state.chosen === null;
  if (state.chosen === null) return;
  const query = { "monitor.obj.type": state.chosen.type, "monitor.obj": state.chosen.id, lineType: state.line };
  const [compute, disk, net] = await Promise.all(["compute", "disk", "net"].map((what) => call(`cloudmonitor/${what}/history`, query)));
  const series = (answer, field, name) => ({ name, points: answer.data.map((row) => row[field] === "" ? null : Number(row[field])) });
  const times = compute.data.map((row) => state.line === "day" ? row["monitor.createtime"].slice(0, 10) : row["monitor.createtime"].slice(5, 16));
  $("#subject").textContent = state.chosen.name;
  $("#charts").replaceChildren(
    chart("CPU", "%", times, series(compute, "monitor.cpu.rate", "used")),
    chart("Memory", "%", times, series(compute, "monitor.mem.rate", "used")),
    chart("Disk", "KB/s", times, series(disk, "monitor.disk.readspeed", "read"), series(disk, "monitor.disk.writespeed", "written")),
    chart("Network", "KB/s", times, series(net, "monitor.net.downspeed", "received"), series(net, "monitor.net.upspeed", "sent")),
  );
}

function summary(hosts, vms, alarms) {
  const up = hosts?.filter((host) => host["host.state"] === "1").length;
  const high = alarms.filter((alarm) => alarm["alarm.level"] === "high").length;
  const item = (count, text, bad) => element("span", {}, element("b", { class: bad ? "bad" : "" }, String(count)), ` ${text}`);
  $("#summary").replaceChildren(...(hosts ? [item(`${up}/${hosts.length}`, "hosts up", up < hosts.length)] : []), item(vms, "VMs"), item(alarms.length, "open alarms", high > 0));
}

async function attempt(work) {
  try {
    const result = await work();
    $("#problem").hidden = true;
    return result;
  } catch (error) {
    $("#problem").textContent = error instanceof WireError ? error.message : `The server does not answer: ${error.message}`;
    $("#problem").hidden = false;
    return undefined;
  }
}

async function refresh() {
  if (!state.token) return;
  await attempt(async () => {
    const hosts = state.platform ? await showHosts().catch((error) => { if (!(error instanceof WireError)) throw error; state.platform = false; $("#hosts").hidden = true; return null; }) : null;
    const [vms, alarms] = [await showVms(), await showAlarms()];
    state.chosen ?? $("tr[data-id]")?.click();
    summary(hosts, vms, alarms);
    $("main").hidden = false;
    $("#login").hidden = true;
    await showDetail();
  });
}

$("#login").addEventListener("submit", (event) => {
  event.preventDefault();
  state.token = $("#token").value.trim();
  sessionStorage.setItem("token", state.token);
  refresh();
});
$("#filter").addEventListener("input", () => { state.first = 1; refresh(); });
$("#pager").addEventListener("click", (event) => {
  if (!event.target.dataset.step) return;
  state.first = Math.max(1, state.first + Number(event.target.dataset.step) * PAGE);
  refresh();
});
$("#lines").addEventListener("click", (event) => {
  if (!event.target.dataset.line) return;
  state.line = event.target.dataset.line;
  for (const button of $("#lines").children) button.setAttribute("aria-pressed", String(button === event.target));
  refresh();
});
if (location.hash.startsWith("#token=")) {
  state.token = decodeURIComponent(location.hash.slice(7));
  sessionStorage.setItem("token", state.token);
  history.replaceState(null, "", location.pathname);
}
refresh();
setInterval(refresh, REFRESH);
