// Counts again what the table and the confusion show, for the threshold of the slider.
(() => {
  const element = document.getElementById('data');
  if (!element) return;
  const data = JSON.parse(element.textContent);
  const slider = document.getElementById('threshold');
  const count = data.names.length;

  const counts = (threshold) => {
    const table = Array.from({length: count + 1}, () => new Array(count + 1).fill(0));
    const index = (number) => (number < 0 ? count : number);
    for (let row = 0; row < data.scores.length && data.scores[row] >= threshold; row++) {
      table[index(data.is[row])][index(data.said[row])]++;
    }
    for (let row = 0; row < count; row++) {
      const found = table[row].reduce((sum, value) => sum + value, 0);
      table[row][count] += data.support[row] - found;
    }
    return table;
  };

  const cell = (row, text, kind, name) => {
    const made = document.createElement(kind || 'td');
    made.textContent = text;
    if (name) made.className = name;
    row.append(made);
  };

  const fill = (id, rows) => {
    const table = document.getElementById(id);
    table.replaceChildren(...rows.map((cells) => {
      const row = document.createElement('tr');
      cells.forEach((each) => cell(row, ...(Array.isArray(each) ? each : [each])));
      return row;
    }));
  };

  const ratio = (part, whole) => (whole ? part / whole : 0);

  const show = () => {
    const threshold = Number(slider.value);
    document.getElementById('value').textContent = threshold.toFixed(3);
    const table = counts(threshold);
    const rows = data.names.map((name, number) => {
      const right = table[number][number];
      const said = table.reduce((sum, row) => sum + row[number], 0);
      const precision = ratio(right, said), recall = ratio(right, data.support[number]);
      const f1 = ratio(2 * precision * recall, precision + recall);
      return [name, data.support[number], precision.toFixed(3), recall.toFixed(3), f1.toFixed(3)];
    });
    fill('classes', [
      ['class', 'there', 'precision', 'recall', 'F1'].map((text) => [text, 'th']), ...rows]);
    const all = [...data.names, data.none];
    fill('confusion', [
      [['', 'th'], ...all.map((text) => [text, 'th'])],
      ...all.map((name, row) => [[name, 'th'], ...table[row].map((value, column) => [
        value || '', 'td', value ? (row === column ? 'hit' : 'miss') : ''])])]);
  };

  slider.addEventListener('input', show);
  show();
})();
