function doPost(request) {
  const lock = LockService.getScriptLock();
  lock.waitLock(10000);
  const event = JSON.parse(request.postData.contents);
  const sheet = SpreadsheetApp.getActiveSpreadsheet().getSheets()[0];
  const names = sheet.getLastColumn() ? sheet.getRange(1, 1, 1, sheet.getLastColumn()).getValues()[0] : [];
  for (const name of Object.keys(event)) if (!names.includes(name)) names.push(name);
  const rows = [names, names.map((name) => event[name] || "")];
  // As text: phone numbers stay what they are, and no value becomes a formula.
  const at = Math.max(sheet.getLastRow(), 1) + 1;
  rows.forEach((row, number) => sheet.getRange(number ? at : 1, 1, 1, row.length).setNumberFormat("@").setValues([row]));
  SpreadsheetApp.flush();
  lock.releaseLock();
  return ContentService.createTextOutput("ok");
}
