<?php
// Parses form bodies as PHP does a request's ($_POST), with its default limits, and compares the structures.
// Usage: php -n parse-forms.php < lines of {"body": ..., "wanted": ...}

// A warning says that something was left out.
set_error_handler(function ($number, $message) {
    fwrite(STDERR, "$message\n");
    exit(1);
});

/** Objects and lists as arrays in the order of their keys. */
function sorted($value) {
    if (is_array($value)) {
        ksort($value, SORT_STRING);
        return array_map('sorted', $value);
    }
    return $value;
}

$count = 0;
foreach (explode("\n", stream_get_contents(STDIN)) as $line) {
    if ($line === '') continue;
    $case = json_decode($line, true, 512, JSON_THROW_ON_ERROR);
    parse_str($case['body'], $read);
    if (sorted($read) !== sorted($case['wanted'])) {
        fwrite(STDERR, "as PHP reads " . substr($case['body'], 0, 300) . "\n" . substr(json_encode($read), 0, 1000) . "\n");
        exit(1);
    }
    $count++;
}
if ($count === 0) exit(1);
echo "$count form bodies parsed by PHP ", PHP_VERSION, "\n";
