# Parses form bodies as Rack does by default, and compares the structures.
# Usage: ruby parse-forms.rb < lines of {"body": ..., "wanted": ...}
require "json"
require "rack"

count = 0
STDIN.each_line do |line|
  given = JSON.parse(line, max_nesting: false)
  environment = Rack::MockRequest.env_for("/", method: "POST", input: given["body"], "CONTENT_TYPE" => "application/x-www-form-urlencoded")
  read = Rack::Request.new(environment).POST
  abort "as Rack reads #{given["body"][0, 300]}\n#{read.to_s[0, 1000]}" unless read == given["wanted"]
  count += 1
end
abort "no form bodies to check" if count == 0
puts "#{count} form bodies parsed by Rack #{Rack.release}"
