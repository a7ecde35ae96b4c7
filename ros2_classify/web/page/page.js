// The page of `ros2_classify watch` and of a server: shows /events, sends /control/NAME.
'use strict';

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
let token = query.get('token') || sessionStorage.getItem('token') || '';
if (query.has('token')) {
  sessionStorage.setItem('token', token);
  // The token does not stay in the URL bar and the history.
  history.replaceState(null, '', location.pathname);
}

const make = (tag, kind, text) => {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  if (text !== undefined) element.textContent = text;
  return element;
};
const show = (element, on) => { element.hidden = !on; };
const text = (element, value) => { if (element.textContent !== value) element.textContent = value; };

async function control(name, body = {}) {
  const response = await fetch('/control/' + name, {
    method: 'POST', headers: {'X-Token': token, 'Content-Type': 'application/json'},
    body: JSON.stringify(body)});
  const result = await response.json();
  if (!response.ok) throw new Error(result.error);
  return result;
}

let chosen = null;
let state = null;
const figures = new Map();

function figure(stream) {
  const box = make('figure');
  const screen = make('div', 'screen');
  const image = make('img');
  image.alt = 'annotated image of ' + stream.name;
  image.src = '/images?stream=' + encodeURIComponent(stream.id)
    + '&token=' + encodeURIComponent(token);
  image.addEventListener('error', () => setTimeout(() => {
    image.src = image.src.replace(/&again=.*|$/, '&again=' + Date.now());
  }, 1500));
  screen.append(image);
  const caption = make('figcaption');
  const facts = {name: make('span', 'name')};
  caption.append(facts.name);
  for (const [key, unit] of [['rate', 'images/s'], ['latency', 'ms'], ['size', '']]) {
    const fact = make('span', 'fact');
    facts[key] = make('b');
    fact.append(facts[key], ' ' + unit);
    caption.append(fact);
  }
  box.append(screen, caption);
  box.addEventListener('click', () => { chosen = stream.id; update(state); });
  return {box, facts};
}

function updateViews(streams) {
  for (const [id, view] of figures) {
    if (!streams.some((stream) => stream.id === id)) {
      view.box.querySelector('img').src = '';
      view.box.remove();
      figures.delete(id);
    }
  }
  for (const stream of streams) {
    if (!figures.has(stream.id)) {
      figures.set(stream.id, figure(stream));
      $('views').append(figures.get(stream.id).box);
    }
    const {box, facts} = figures.get(stream.id);
    const timing = stream.timing;
    const frame = stream.frame || stream.name;
    // Of a path, the file; topics, devices and URLs are whole.
    text(facts.name, stream.frame && /\.\w+$/.test(frame) ? frame.replace(/^\/.*\//, '') : frame);
    facts.name.title = frame;
    text(facts.rate, stream.rate ? stream.rate.toFixed(1) : '–');
    text(facts.latency, timing
      ? (timing.preprocess + timing.inference + timing.postprocess).toFixed(1) : '–');
    facts.latency.parentElement.title = timing
      ? `preprocess ${timing.preprocess} ms, inference ${timing.inference} ms, `
        + `postprocess ${timing.postprocess} ms` : '';
    text(facts.size, stream.size ? stream.size.join(' × ') : '–');
    box.classList.toggle('chosen', streams.length > 1 && stream.id === chosen);
  }
  $('views').classList.toggle('many', streams.length > 1);
}

function updateResults(stream) {
  const rows = (stream && stream.results) || [];
  const list = $('results');
  while (list.children.length > rows.length) list.lastChild.remove();
  rows.forEach((row, index) => {
    let item = list.children[index];
    if (!item) {
      item = make('li');
      const bar = make('span', 'bar');
      bar.append(make('i'));
      item.append(make('span', 'swatch'), make('span', 'label'), make('span', 'score'), bar);
      list.append(item);
    }
    const [swatch, label, score, bar] = item.children;
    swatch.style.background = row.color;
    text(label, row.id ? `${row.label} · ${row.id}` : row.label);
    text(score, row.score.toFixed(2));
    bar.firstChild.style.width = Math.min(100, Math.max(0, 100 * row.score)) + '%';
    bar.firstChild.style.background = row.color;
  });
  show($('nothing'), !rows.length);
  text($('nothing'), stream && stream.timing ? 'Nothing found.' : 'Nothing yet.');
  text($('count'), stream && stream.count ? String(stream.count) : '');
}

const send = (name, value) => control('option', {name, value, stream: chosen}).then(
  () => show($('control-error'), false),
  (error) => { text($('control-error'), error.message); show($('control-error'), true); });

function input(item) {
  const label = make('label');
  label.append(make('span', '', item.label));
  const field = make('input');
  field.name = item.name;
  const set = {share: 'range', count: 'number', flag: 'checkbox', words: 'text', scores: 'text'};
  field.type = set[item.kind];
  if (item.kind === 'share') {
    Object.assign(field, {min: 0, max: 1, step: 0.01});
    label.append(make('output'));
    field.addEventListener('input', () => {
      text(label.querySelector('output'), Number(field.value).toFixed(2));
      send(item.name, Number(field.value));
    });
  } else if (item.kind === 'count') {
    Object.assign(field, {min: 1, step: 1});
    field.addEventListener('change', () => send(item.name, Math.round(Number(field.value))));
  } else if (item.kind === 'flag') {
    field.addEventListener('change', () => send(item.name, field.checked));
  } else {
    field.placeholder = item.kind === 'words' ? 'all' : 'none';
    field.addEventListener('change', () => send(item.name, field.value));
  }
  label.append(field, make('span', 'help', item.help));
  return label;
}

function updateControls(controls) {
  const form = $('controls');
  const names = controls.map((item) => item.name + item.kind).join();
  if (form.dataset.names !== names) {
    form.dataset.names = names;
    form.replaceChildren(...controls.map(input));
  }
  for (const item of controls) {
    const field = form.elements[item.name];
    // What the user is changing stays as it is.
    if (field === document.activeElement && item.kind !== 'flag') continue;
    if (item.kind === 'flag') field.checked = item.value;
    else field.value = item.value;
    if (item.kind === 'share') {
      text(field.parentElement.querySelector('output'), Number(item.value).toFixed(2));
    }
  }
  show($('controls-card'), controls.length > 0);
}

function updatePlayback(playback) {
  show($('play-card'), Boolean(playback));
  if (!playback) return;
  text($('pause'), playback.paused ? 'Play' : 'Pause');
  $('step').disabled = playback.live;
  show($('track'), Boolean(playback.length) && playback.length > 1);
  if (playback.length) {
    $('done').style.width = 100 * Math.min(1, playback.position / playback.length) + '%';
  }
}

function updateModels(model) {
  const list = model.models || [];
  show($('model-card'), list.length > 0);
  const select = $('models');
  const names = list.join('\n');
  if (select.dataset.names !== names) {
    select.dataset.names = names;
    select.replaceChildren(...list.map((name) => new Option(name, name)));
    select.value = model.name;
  }
}

function updateMessages(messages) {
  show($('messages-card'), messages.length > 0);
  const key = JSON.stringify(messages);
  if ($('messages').dataset.key === key) return;
  $('messages').dataset.key = key;
  $('messages').replaceChildren(...messages.map((each) => make('li', each.level, each.text)));
}

function update(news) {
  state = news;
  const {model, streams} = news;
  text($('model'), model.name || 'no model');
  document.title = `${model.name || 'no model'} · ros2_classify`;
  text($('task'), model.task || '');
  show($('task'), Boolean(model.task));
  text($('provider'), model.provider || '');
  show($('provider'), Boolean(model.provider));
  show($('unverified'), (model.unverified || []).length > 0);
  $('unverified').title = (model.unverified || []).join(', ');
  if (!streams.some((stream) => stream.id === chosen)) chosen = streams.length ? streams[0].id : null;
  const stream = streams.find((each) => each.id === chosen);
  updateViews(streams);
  updateResults(stream);
  updateControls((stream && stream.controls) || news.controls || []);
  updatePlayback(news.playback);
  updateModels(model);
  updateMessages(news.messages || []);
}

function link(kind, words) {
  $('link').className = 'link ' + kind;
  text($('link'), words);
}

function locked() {
  const card = make('section', 'card locked');
  card.append(make('h2', '', 'This page needs its token'), make('p', 'note',
    'Open the URL that the program printed when it started. It ends with ?token=…'));
  document.querySelector('main').replaceChildren(card);
  link('lost', 'locked');
}

$('pause').addEventListener('click', () => control(state.playback.paused ? 'play' : 'pause'));
$('step').addEventListener('click', () => control('step'));
$('save').addEventListener('click', () => control('save').then(
  (result) => text($('where'), 'saved ' + result.saved),
  (error) => text($('where'), error.message)));
$('load').addEventListener('click', () => {
  text($('model-note'), 'loading …');
  $('load').disabled = true;
  control('model', {name: $('models').value}).then(
    (result) => text($('model-note'), result.note || 'loaded'),
    (error) => text($('model-note'), error.message)).finally(() => { $('load').disabled = false; });
});
$('controls').addEventListener('submit', (event) => event.preventDefault());
document.addEventListener('keydown', (event) => {
  if (event.target.matches('input, select, button') || !state || !state.playback) return;
  if (event.key === ' ') { event.preventDefault(); $('pause').click(); }
  if (event.key === 'ArrowRight' && !state.playback.live) $('step').click();
});

async function begin() {
  const response = await fetch('/state', {headers: {'X-Token': token}});
  if (response.status === 403) { locked(); return; }
  update(await response.json());
  const events = new EventSource('/events?token=' + encodeURIComponent(token));
  events.onmessage = (event) => { link('live', 'live'); update(JSON.parse(event.data)); };
  events.onopen = () => link('live', 'live');
  events.onerror = () => link('lost', 'connection lost');
}
begin().catch(() => { link('lost', 'connection lost'); setTimeout(() => location.reload(), 2000); });
