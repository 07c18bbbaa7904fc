// The first board with Arduino: two numbers a minute to an Outstation server, with MathWorks' ThingSpeak library.
// For ESP8266 and ESP32. Change what is in capitals; channel and key are those of `outstation devices`.

#if defined(ESP8266)
#include <ESP8266WiFi.h>
#else
#include <WiFi.h>
#endif

// The library asks for api.thingspeak.com, port 80, whatever the sketch says. So this connection goes elsewhere, and
// the header of the library stays as it is.
const char *const THE_SERVER = "192.168.1.10";
const uint16_t THE_PORT = 5000;

class ToOutstation : public WiFiClient {
 public:
  using WiFiClient::connect;
  int connect(const char *, uint16_t) override { return WiFiClient::connect(THE_SERVER, THE_PORT); }
};

#include <ThingSpeak.h>  // after the network: it looks at what is there

const char *const NETWORK = "NETWORK";
const char *const PASSWORD = "PASSWORD";
const unsigned long CHANNEL = 1;
const char *const WRITE_KEY = "KEY";
const unsigned long EVERY = 60UL * 1000;             // milliseconds
const unsigned long STOP_AFTER = 8UL * 3600 * 1000;  // milliseconds; 0: never

ToOutstation server;

void setup() {
  Serial.begin(115200);
  WiFi.mode(WIFI_STA);  // and no network of its own
  WiFi.begin(NETWORK, PASSWORD);
  ThingSpeak.begin(server);
}

void loop() {
  if (STOP_AFTER != 0 && millis() >= STOP_AFTER) {
    Serial.println("Stopped, as told. The reset button starts it again.");
    stop();
  }
  if (WiFi.status() == WL_CONNECTED) sendReadings();
  delay(EVERY);  // feeds the watchdog meanwhile
}

void sendReadings() {
  ThingSpeak.setField(1, static_cast<int>(analogRead(A0)));  // your sensor here
  ThingSpeak.setField(2, static_cast<int>(WiFi.RSSI()));
  const int code = ThingSpeak.writeFields(CHANNEL, WRITE_KEY);
  // 200: it is stored. 400: the key is wrong. -301: nobody answers. -401: refused.
  Serial.println(code == 200 ? String("sent") : "not sent: " + String(code));
}

void stop() {
#if defined(ESP8266)
  ESP.deepSleep(0);  // for ever
#else
  esp_deep_sleep_start();  // nothing is set to wake it
#endif
}
